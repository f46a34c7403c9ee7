"""What the hash alone costs: `python -m bench.sign_in_alone HASH PASSWORD` checks once for each line it reads."""

import sys
import time

import django

django.setup()

from django.contrib.auth.hashers import check_password  # noqa: E402

for _line in sys.stdin:
    started = time.perf_counter()
    is_right = check_password(sys.argv[2], sys.argv[1])
    milliseconds = (time.perf_counter() - started) * 1000
    print(milliseconds if is_right else "wrong", flush=True)
