/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Settings as JSON. Pure: nothing is printed here. */
#include "settings_fields.h"
#include "settings_json.h"

static json_t *text_value(const struct settings *settings, size_t number)
{
	char text[SETTINGS_VALUE];

	settings_field_format(settings, number, text, sizeof(text));
	return json_string(text);
}

static json_t *number_value(const __u64 *number)
{
	return json_integer((json_int_t)*number);
}

static json_t *rate_value(const struct sipdam_limit *limit)
{
	if (limit->unlimited)
		return json_string("unlimited");
	if (limit->rate % SIPDAM_RATE_UNIT)
		return json_real((double)limit->rate / SIPDAM_RATE_UNIT);
	return json_integer((json_int_t)(limit->rate / SIPDAM_RATE_UNIT));
}

static json_t *burst_value(const struct sipdam_limit *limit)
{
	if (limit->unlimited && limit->burst == SIPDAM_NO_BURST)
		return json_string("unlimited");
	return json_integer(limit->burst);
}

static json_t *ports_value(const struct sipdam_ports *ports)
{
	json_t *array = json_array();

	for (__u32 i = 0; i < ports->count; i++)
		json_array_append_new(array, json_integer(ports->port[i]));
	return array;
}

static json_t *prefixes_value(const struct prefix_set *set)
{
	json_t *array = json_array();

	for (size_t i = 0; i < set->count; i++) {
		char text[ADDRESS_PREFIX_TEXT];

		address_format_prefix(&set->prefix[i], text);
		json_array_append_new(array, json_string(text));
	}
	return array;
}

static json_t *value_of(const struct settings *settings, size_t number)
{
	const struct field *field = settings_field(number);
	const void *place = field_at(&settings->policy, field);

	switch (field->kind) {
	case FIELD_BOOLEAN:
		return json_boolean(*(const __u32 *)place);
	case FIELD_COUNT:
		return json_integer(*(const __u32 *)place);
	case FIELD_SOURCES:
	case FIELD_BYTES:
		return number_value(place);
	case FIELD_RATE:
		return rate_value(place);
	case FIELD_BURST:
		return burst_value(place);
	case FIELD_PORTS:
		return ports_value(place);
	case FIELD_PREFIXES:
	case FIELD_LIST:
		return prefixes_value(&settings->lists[field->offset]);
	default:
		return text_value(settings, number);
	}
}

json_t *settings_json_field(const struct settings *settings, size_t field)
{
	json_t *value = value_of(settings, field);

	return json_pack("{s:o, s:s}", "value", value, "origin", settings_field_origin(settings, field));
}

json_t *settings_json(const struct settings *settings)
{
	json_t *object = json_object();

	for (size_t i = 0; i < settings_field_count(); i++) {
		if (json_object_set_new(object, settings_field_name(i), settings_json_field(settings, i))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}
