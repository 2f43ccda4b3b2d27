"""Text made from text; one method a file. The teacher says of made sentences what it says of any other."""
