"""The company's address book: contacts with their tags, notes and activities, one by one and in bulk."""

from __future__ import annotations

import re
from typing import Any

from filiera.simulators.base import Problems, endpoint, moment, now
from filiera.simulators.cloudtalk.accounts import E164, Account
from filiera.simulators.cloudtalk.company import MESSAGES, Company, envelope, invalid, item_answer, paged
from filiera.simulators.cloudtalk.shapes import LONGEST, contact_detail, digits, without_plus
from filiera.simulators.http import Answer, Request, json_answer
from filiera.simulators.knobs import Json

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
CONTACT_LISTS = {"ExternalUrl", "ContactNumber", "ContactEmail", "ContactsTag", "ContactAttribute"}
ACTIVITIES = {"order", "task", "chat", "ticket", "other", "invoice", "proforma", "estimate", "cancel"}
MAX_BULK = 10


class Contacts(Company):
    @endpoint("GET", r"/api/contacts/index\.json", "contacts/index")
    def contacts_index(self, request: Request) -> Answer:
        keyword = request.query.get("keyword", "").lower()
        rows = [
            {
                "Contact": {"id": contact_id, "name": contact["name"], "company": contact.get("company")},
                "ContactNumber": {"public_number": without_plus((contact["ContactNumber"] or [None])[0])},
                "ContactEmail": {"email": (contact["ContactEmail"] or [None])[0]},
                "ContactAttribute": contact["ContactAttribute"],
            }
            for contact_id, contact in self.mine(request).contacts.items()
            if keyword in searchable(contact)
        ]
        return paged(request, rows)

    @endpoint("PUT", r"/api/contacts/add\.json", "contacts/add")
    def contacts_add(self, request: Request) -> Answer:
        return item_answer(self._add_contact(self.mine(request), self.body_of(request), request))

    @endpoint("POST", r"/api/contacts/edit/(?P<contact_id>[^/]+)\.json", "contacts/edit")
    def contacts_edit(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._edit_contact(self.mine(request), contact_id, self.body_of(request), request))

    @endpoint("GET", r"/api/contacts/show/(?P<contact_id>[^/]+)\.json", "contacts/show")
    def contacts_show(self, request: Request, contact_id: str) -> Answer:
        contact = self.mine(request).contacts.get(contact_id)
        if contact is None:
            return self.error(404)
        return json_answer({"responseData": contact_detail(contact_id, contact)})

    @endpoint("DELETE", r"/api/contacts/delete/(?P<contact_id>[^/]+)\.json", "contacts/delete")
    def contacts_delete(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._delete_contact(self.mine(request), contact_id))

    @endpoint("PUT", r"/api/contacts/addTags/(?P<contact_id>[^/]+)\.json", "contacts/addTags")
    def contacts_add_tags(self, request: Request, contact_id: str) -> Answer:
        return self._change_tags(request, contact_id, add=True)

    @endpoint("DELETE", r"/api/contacts/removeTags/(?P<contact_id>[^/]+)\.json", "contacts/removeTags")
    def contacts_remove_tags(self, request: Request, contact_id: str) -> Answer:
        return self._change_tags(request, contact_id, add=False)

    @endpoint("GET", r"/api/contacts/attributes\.json", "contacts/attributes")
    def contacts_attributes(self, request: Request) -> Answer:
        return json_answer({"responseData": [{"ContactAttribute": {"id": "123", "title": "Fonte"}}]})

    @endpoint("PUT", r"/api/notes/add/(?P<contact_id>[^/]+)\.json", "notes/add")
    def notes_add(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._add_note(self.mine(request), contact_id, self.body_of(request), request))

    @endpoint("PUT", r"/api/activity/add/(?P<contact_id>[^/]+)\.json", "activity/add")
    def activity_add(self, request: Request, contact_id: str) -> Answer:
        return item_answer(self._add_activity(self.mine(request), contact_id, self.body_of(request), request))

    @endpoint("POST", r"/api/bulk/contacts\.json", "bulk/contacts")
    def bulk_contacts(self, request: Request) -> Answer:
        """Run up to ten actions one by one; the answer is 200 and each item has its own status."""
        try:
            actions = request.json()
        except ValueError:
            return invalid({"body": ["Expected a JSON array."]})
        if not isinstance(actions, list) or not 1 <= len(actions) <= MAX_BULK:
            return invalid({"body": [f"Expected 1 to {MAX_BULK} actions."]})
        if not all(isinstance(action, dict) and isinstance(action.get("data"), dict) for action in actions):
            return invalid({"data": ["Every action is an object with action, command_id and data."]})
        account = self.mine(request)
        return envelope([self._bulk_item(account, action, request) for action in actions])

    def _bulk_item(self, account: Account, action: Json, request: Request) -> Json:
        data: Json = dict(action["data"])
        command = action.get("command_id")
        if not isinstance(command, str):
            self.warn(request, "command_id is not a string")
        target = str(
            data.pop("id" if action.get("action") in {"edit_contact", "delete_contact"} else "contact_id", "")
        )
        match action.get("action"):
            case "add_contact":
                result = self._add_contact(account, data, request)
            case "edit_contact":
                result = self._edit_contact(account, target, data, request)
            case "delete_contact":
                result = self._delete_contact(account, target)
            case "add_note":
                result = self._add_note(account, target, data, request)
            case "add_activity":
                result = self._add_activity(account, target, data, request)
            case unknown:
                result = {
                    "status": 406,
                    "message": MESSAGES[406],
                    "data": {"action": [f"Unknown action {unknown}."]},
                }
        return {"command_id": command, **result}

    def _add_contact(self, account: Account, body: Json | None, request: Request) -> Json:
        contact, refusal = self._read_contact(body, request, new=True)
        if refusal:
            return refusal
        contact_id = self.new_contact_id()
        account.contacts[contact_id] = (
            {name: [] for name in CONTACT_LISTS} | contact | {"created": moment(now())}
        )
        self.count("contacts added")
        return {"status": 201, "data": {"id": contact_id}}

    def _edit_contact(self, account: Account, contact_id: str, body: Json | None, request: Request) -> Json:
        if contact_id not in account.contacts:
            return {"status": 404, "message": MESSAGES[404]}
        contact, refusal = self._read_contact(body, request, new=False)
        if refusal:
            return refusal
        account.contacts[contact_id] |= contact  # a list that was sent replaces the stored one
        return {"status": 200}

    def _delete_contact(self, account: Account, contact_id: str) -> Json:
        if account.contacts.pop(contact_id, None) is None:
            return {"status": 404, "message": MESSAGES[404]}
        return {"status": 200}

    def _add_note(self, account: Account, contact_id: str, body: Json | None, request: Request) -> Json:
        problems = Problems()
        problems.text(body or {}, "note", 10_000, required=True)
        problems.only(body or {}, {"note", "user_id"})
        return self._added(account, contact_id, problems, request)

    def _add_activity(self, account: Account, contact_id: str, body: Json | None, request: Request) -> Json:
        problems, body = Problems(), body or {}
        if problems.text(body, "type", 20, required=True) not in ACTIVITIES:
            problems.add("type", "Unknown type.")
        problems.text(body, "name", 255, required=True)
        optional = {"activity_date", "description", "activity_author", "external_id", "external_url"}
        problems.only(body, {"type", "name"} | optional)
        return self._added(account, contact_id, problems, request)

    def _added(self, account: Account, contact_id: str, problems: Problems, request: Request) -> Json:
        if contact_id not in account.contacts:
            return {"status": 404, "message": MESSAGES[404]}
        if problems.errors:
            return {"status": 406, "message": MESSAGES[406], "data": problems.errors}
        self.remark(request, problems)
        return {"status": 201, "data": {"id": self.new_contact_id()}}

    def _read_contact(self, body: Json | None, request: Request, *, new: bool) -> tuple[Json, Json | None]:
        """Return what a contact's body says, or the refusal of it."""
        problems = Problems()
        contact: Json = {}
        if body is None:
            problems.add("body", "Expected a JSON object.")
            body = {}
        for name, longest in LONGEST.items():
            if name in body or (new and name == "name"):
                contact[name] = problems.text(body, name, longest, required=new and name == "name") or None
        for name in ("country_id", "favorite_agent"):
            if name in body:
                contact[name] = body[name]
                if not isinstance(body[name], int):
                    problems.add(name, "Expected a number.")
        for name in CONTACT_LISTS:
            rows = problems.rows(body, name)
            if rows is not None:
                contact[name] = read_rows(name, rows, problems)
        problems.only(body, LONGEST.keys() | {"country_id", "favorite_agent"} | CONTACT_LISTS)
        self.remark(request, problems)
        if problems.errors:
            return {}, {"status": 406, "message": MESSAGES[406], "data": problems.errors}
        return contact, None

    def _change_tags(self, request: Request, contact_id: str, *, add: bool) -> Answer:
        contact = self.mine(request).contacts.get(contact_id)
        if contact is None:
            return self.error(404)
        tags = (self.body_of(request) or {}).get("tags")
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            return invalid({"tags": ["Expected a list of strings."]})
        kept = [row for row in contact["ContactsTag"] if row["name"] not in tags]
        contact["ContactsTag"] = kept + ([{"name": tag} for tag in tags] if add else [])
        rows = [
            {"id": str(index + 1), "name": row["name"]} for index, row in enumerate(contact["ContactsTag"])
        ]
        return json_answer(
            {"responseData": {"status": 200, "message": "", "data": {"tags": rows, "contact_id": contact_id}}}
        )


def read_rows(name: str, rows: list[Json], problems: Problems) -> list[Any]:
    """Return the rows of one of a contact's lists as they are stored: numbers as E.164, the rest as sent."""
    if name == "ContactNumber":
        numbers = ["+" + digits(str(row.get("public_number", ""))) for row in rows]
        if not all(E164.fullmatch(number) for number in numbers):
            problems.add("public_number", "Please supply a valid phone number.")
        return numbers
    if name == "ContactEmail":
        emails = [str(row.get("email", "")) for row in rows]
        if not all(EMAIL.fullmatch(email) for email in emails):
            problems.add("email", "Please supply a valid email address.")
        return emails
    if name == "ExternalUrl" and (len(rows) > 3 or any(len(str(row.get("name", ""))) > 30 for row in rows)):
        problems.add(name, "Expected at most 3 links with names of at most 30 characters.")
    if name == "ContactsTag" and not all(isinstance(row.get("name"), str) and row["name"] for row in rows):
        problems.add(name, "Every tag has a name.")
    if name == "ContactAttribute" and not all(isinstance(row.get("attribute_id"), int) for row in rows):
        problems.add(name, "Every attribute has an attribute_id.")
    return rows


def searchable(contact: Json) -> str:
    texts = [contact.get("name"), contact.get("company"), *contact["ContactEmail"]]
    return " ".join([*(text.lower() for text in texts if text), *contact["ContactNumber"]])
