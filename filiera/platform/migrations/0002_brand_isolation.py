from django.db import migrations

from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [("platform", "0001_initial")]
    operations = [
        BrandIsolation("Event"),
        BrandIsolation("Received"),
        BrandIsolation("SiteSetting"),
    ]
