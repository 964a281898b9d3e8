"""Result files: read, written, packed and shared among processes."""
