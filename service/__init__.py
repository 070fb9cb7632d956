"""Online: loads a bundle, answers recommendation requests, withholds what each request asks for."""
