from django.db import migrations

from filiera.platform.migration_operations import Audited


class Migration(migrations.Migration):
    dependencies = [("contacts", "0004_consents"), ("identity", "0007_audit_log")]
    operations = [
        Audited(
            "contacts_contact",
            "contacts",
            # Derived from the names, for the search.
            ignored=["name_key", "surname_key", "email_norm"],
            unless_machine=True,
        ),
        Audited("contacts_contactphone", "contact_phones", unless_machine=True),
        Audited("contacts_duplicatesuggestion", "duplicate_suggestions", unless_machine=True),
    ]
