"""Django as a WSGI application: it runs in worker threads behind the accept path (docs/decisions/001)."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "filiera.settings")
application = get_wsgi_application()
