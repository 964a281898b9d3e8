"""What each benchmark is: its protocol, folders, sequences and ground truth."""
