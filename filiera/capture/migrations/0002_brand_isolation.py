from django.db import migrations

from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [("capture", "0001_initial"), ("identity", "0002_brand_isolation")]
    operations = [
        BrandIsolation("MarketingSource"),
        BrandIsolation("Source"),
        BrandIsolation("RateLimitBucket"),
        BrandIsolation("Submission"),
    ]
