from django.db import migrations

from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0001_initial"), ("contacts", "0002_brand_isolation")]
    operations = [
        BrandIsolation("Stage"),
        BrandIsolation("StageVersion"),
        BrandIsolation("Deal"),
        BrandIsolation("DealClosing"),
        BrandIsolation("StageHistory"),
        BrandIsolation("LeadEvent"),
        BrandIsolation("Activity"),
        BrandIsolation("StateRule"),
    ]
