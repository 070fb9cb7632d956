"""FFVAE (Creager et al., ICML 2019): its configuration, its update step, its stage of a run."""
