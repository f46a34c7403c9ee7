from django.db import migrations

from filiera.platform.migration_operations import BrandIsolation


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial"), ("pipeline", "0002_brand_isolation")]
    operations = [
        BrandIsolation("Connection"),
        BrandIsolation("Agent"),
        BrandIsolation("RoutingState"),
        BrandIsolation("Process"),
        BrandIsolation("Decision"),
        BrandIsolation("CallAttempt"),
        BrandIsolation("ProviderContact"),
        BrandIsolation("DailyMetrics"),
        BrandIsolation("Alert"),
    ]
