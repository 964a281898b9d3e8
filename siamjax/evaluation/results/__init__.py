"""Result files: reading, writing, packing, and claims of processes that share a folder."""
