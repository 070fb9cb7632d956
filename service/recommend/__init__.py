"""What a list is: protected how, for whom, without which items, and where it goes on."""
