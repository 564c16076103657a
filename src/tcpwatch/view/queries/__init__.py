"""What the views ask the store: numbers and rows, no words and no colours."""
