"""The search for a tracker's hyper-parameters."""
