"""Running trackers over sequences."""
