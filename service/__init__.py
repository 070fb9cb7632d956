"""Online: loads a bundle, answers recommendation requests, withholds the attributes that each request protects."""
