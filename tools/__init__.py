"""What sets a machine up, and what writes files of the repository anew."""
