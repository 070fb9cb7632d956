"""PFRec (Wu et al., 2022): its configuration, its prompted encoders, its update step, its stage of a run."""
