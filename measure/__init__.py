"""Arrays in, numbers out: the accuracy of a recommender, and the leakage of its vectors and lists.

Nothing here knows a bundle, a store or a request, so every module can be used alone:

* ``accuracy``: ranks of one held-out positive per user, nDCG and recall (NumPy only);
* ``ranking`` and ``several``: exact lists, and what they are worth where several positives of a user are held out;
* ``leakage``: how well a suite of attackers recovers an attribute, one row of the card. It tells the story;
  its stages are ``profiles``, ``features``, ``labels``, ``tuning``, ``attackers``, ``auc`` and ``resampling``;
* ``fairness``: what lists are like for groups of users, each metric with its formula, and intervals by a bootstrap;
* ``audit``: all of it of one bundle, as a card, and the verdict on it;
* ``compare``: two audits side by side;
* ``report``: a card as a page;
* ``errors``: what can be refused.

Threads are the caller's business: nothing but ``audit.workers`` starts processes, and OMP_NUM_THREADS bounds what NumPy
and scikit-learn use.
"""
