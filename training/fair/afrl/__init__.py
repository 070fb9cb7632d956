"""AFRL (Zhu et al., SIGIR 2024): its configuration and update step, its epochs, its stage of a run."""
