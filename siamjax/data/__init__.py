"""From records on disk, or rendered ones, to batches of training pairs. NumPy only."""

import cv2

# One pair is one task: threads inside OpenCV would only fight with the readers' own.
cv2.setNumThreads(0)
