"""What the generated blocks of the docs say."""
