from django.db import migrations

from filiera.platform.migration_operations import Audited


class Migration(migrations.Migration):
    dependencies = [("pipeline", "0003_next_activity"), ("identity", "0007_audit_log")]
    operations = [
        Audited("pipeline_stage", "stages"),
        Audited("pipeline_stageversion", "stage_versions"),
        Audited("pipeline_staterule", "state_rules"),
        Audited("pipeline_deal", "deals", ignored=["version"], unless_machine=True),
        Audited("pipeline_dealclosing", "deal_closings", unless_machine=True),
        Audited("pipeline_stagehistory", "stage_history", unless_machine=True),
        Audited("pipeline_leadevent", "leads", unless_machine=True),
        Audited("pipeline_activity", "activities", unless_machine=True),
    ]
