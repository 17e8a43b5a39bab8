"""What a call goes through, from its arguments to its object."""
