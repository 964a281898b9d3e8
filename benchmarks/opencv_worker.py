"""OpenCV's trackers over frames on disk, for `opencv.py`, which runs it as its own process.

Needs OpenCV and NumPy alone: the package with all trackers, opencv-contrib-python-headless,
cannot be installed beside siamjax's. Reads one JSON object a line, {"tracker": name, "frames":
paths, "box_xywh": four numbers}, and answers each with {"boxes": [...], "seconds": [...]}, or
{"error": words}. The very first line it writes names the trackers that there are.

    python benchmarks/opencv_worker.py [--nanotrack BACKBONE.onnx HEAD.onnx]
"""

import argparse
import json
import sys
import time

import cv2


def makers(nanotrack):
    """Tracker name -> what makes one, of those that this OpenCV has."""
    found = {}
    for name in ("MIL", "KCF", "CSRT"):
        create = getattr(cv2, f"Tracker{name}_create", None)
        if create is not None:
            found[name] = create
    if nanotrack is not None and hasattr(cv2, "TrackerNano_create"):
        settings = cv2.TrackerNano_Params()
        settings.backbone, settings.neckhead = nanotrack
        found["NanoTrack v2"] = lambda: cv2.TrackerNano_create(settings)
    return found


def follow(tracker, frames, box_xywh):
    """Boxes of one pass and the seconds of each; where it fails, the box stays."""
    boxes, seconds = [box_xywh], []
    for i, path in enumerate(frames):
        frame = cv2.imread(path, cv2.IMREAD_COLOR)
        start = time.perf_counter()
        if i == 0:
            tracker.init(frame, tuple(round(value) for value in box_xywh))
        else:
            is_found, box = tracker.update(frame)
            boxes.append(list(map(float, box)) if is_found else boxes[-1])
        seconds.append(time.perf_counter() - start)
    return {"boxes": boxes, "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanotrack", nargs=2)
    known = makers(parser.parse_args().nanotrack)
    print(json.dumps({"opencv": cv2.__version__, "trackers": list(known)}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = follow(known[asked["tracker"]](), asked["frames"], asked["box_xywh"])
        except cv2.error as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
