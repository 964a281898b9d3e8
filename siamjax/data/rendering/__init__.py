"""What rendered sequences are made of: textures, sprites, backgrounds and paths."""
