"""Other people's weights into our trees, and ours back."""
