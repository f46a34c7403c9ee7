from django.db import migrations

from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [("identity", "0001_initial"), ("platform", "0002_brand_isolation")]
    operations = [
        BrandIsolation("UserRole"),
        BrandIsolation("VaultKey"),
        BrandIsolation("OutgoingEmail"),
    ]
