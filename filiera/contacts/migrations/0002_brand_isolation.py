from django.db import migrations

from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [("contacts", "0001_initial"), ("capture", "0002_brand_isolation")]
    operations = [
        BrandIsolation("Contact"),
        BrandIsolation("ContactPhone"),
        BrandIsolation("DuplicateSuggestion"),
    ]
