"""A variant of LEGO (arXiv 2510.20327): its configuration, its update step, its stage of a run."""
