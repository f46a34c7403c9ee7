from django.db import migrations

from filiera.platform.migration_operations import Audited


class Migration(migrations.Migration):
    dependencies = [("capture", "0004_claiming"), ("identity", "0007_audit_log")]
    operations = [
        Audited("capture_marketingsource", "marketing_sources"),
        Audited("capture_source", "sources", ignored=["last_used_at"], hidden=["api_key_hash"]),
        Audited(
            "capture_submission",
            "submissions",
            # As it came, the request stays in its row: it is long, and nobody changes it.
            hidden=["body", "headers", "retrieved", "response"],
            unless_machine=True,
        ),
    ]
