"""Bases that read a user's row of interactions and answer with one: AutoRec, Mult-VAE, DiffRec and FairGAN."""
