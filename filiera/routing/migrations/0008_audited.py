from django.db import migrations

from filiera.platform.migration_operations import Audited


class Migration(migrations.Migration):
    dependencies = [("routing", "0007_statistics_of_what_grew"), ("identity", "0007_audit_log")]
    operations = [
        Audited(
            "routing_connection",
            "telephony_connections",
            ignored=["agents_polled_at", "last_ok_at", "placing_until"],
        ),
        Audited(
            "routing_agent",
            "agents",
            # What the provider says of them from minute to minute.
            ignored=[
                *("last_status", "provider_status", "status_outbound", "is_daily_limit_ok"),
                *("last_status_at", "last_available_at"),
            ],
        ),
        Audited(
            "routing_routingstate",
            "routing_states",
            key="brand_id",
            # Each assignment moves these; the decisions are their record.
            ignored=["last_agent_id", "last_sort_order", "credits", "last_assigned_at", "total_assigned"],
            unless_machine=True,
        ),
        Audited("routing_process", "routing_processes", unless_machine=True),
    ]
