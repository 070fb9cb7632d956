"""SM (PCFR, Li et al., SIGIR 2021): its configuration, its adversaries, its update step, its stage of a run."""
