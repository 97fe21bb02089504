"""How long functions live, as template.yaml says, and every time that follows from it.

Lambda ends a function at its ``Timeout``, wherever it is. What it does has to end by itself before that, with
an answer; what others do in its place may begin only after it. A test compares the first block with the
template and holds the order of the others, so that a number is changed in both places or in none.
"""

from datetime import timedelta

# The Timeout of the function of this name.
SUBMIT = timedelta(seconds=600)
STORE = timedelta(seconds=900)
FETCH = timedelta(seconds=900)
RECONCILE = timedelta(seconds=120)
FORGET = timedelta(seconds=28)
LONGEST = max(SUBMIT, STORE, FETCH, RECONCILE, FORGET)

# Clocks may differ, and a write that is on its way when a function is ended still arrives.
MARGIN = timedelta(minutes=1)
# By then no function can write what it has read of a job before: for the last files of an ended job, and
# for the last look at a forgotten one.
ALL_ENDED = LONGEST + MARGIN

# Since the submitter began: by then all photos are looked at, and by then the clean copy is written; what is left
# is for its last part and the job's files.
CHECK_PATIENCE = timedelta(seconds=460)
MEND_PATIENCE = timedelta(seconds=570)
# An invocation that has checked for longer leaves the sending to the next one, which begins at once.
DISPATCH_PATIENCE = timedelta(seconds=10)
# Then a dataset may go to fal's storage, and one POST is waited for.
UPLOAD_PATIENCE = timedelta(seconds=200)
POST_PATIENCE = timedelta(seconds=40)
# By then the photos are looked at that the pictures of a proof sheet are compared with; what is left is for the
# comparison, its page and the job's row.
PROOF_PATIENCE = timedelta(seconds=300)
# A job that is RECEIVED, or SUBMITTING, for longer has no submitter any more.
SUBMIT_DEADLINE = SUBMIT + MARGIN

# One run of the store worker reads for so long what the next run can go on with, and for so long a file without
# ranges, which begins from the start each time. Its lease outlasts the first and is renewed with every part.
STORE_PATIENCE = timedelta(seconds=140)
STORE_PATIENCE_WHOLE = STORE - timedelta(seconds=80)
STORE_LEASE = STORE_PATIENCE + timedelta(seconds=100)
# One run of the fetch worker, and how long an address is tried at all since it was ordered; the reconciler ends
# what no worker has ended by then.
FETCH_PATIENCE = FETCH - timedelta(seconds=80)
FETCH_DEADLINE = timedelta(hours=1)
FETCH_GIVEN_UP = FETCH_DEADLINE + FETCH + MARGIN
# How long a result that fal has denied once is not asked for again: the next round finds the job free.
DENIAL_STANDS = timedelta(minutes=4)
# An upload that no open job names, and no worker can still go on with.
ABANDONED_AFTER = timedelta(hours=1)

# The last question to fal, the sweeps, the events and the budget take their time.
ROUND_PATIENCE = RECONCILE - timedelta(seconds=40)
EVENTS_PATIENCE = timedelta(seconds=10)
# The last deletion that has begun takes its time.
FORGET_PATIENCE = FORGET - timedelta(seconds=13)
# The schedule of the forget function.
FORGET_ROUND = timedelta(minutes=15)
