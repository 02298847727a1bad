/* SPDX-License-Identifier: EUPL-1.2
 * ipc/message.h — the structs of messages.def, their types, and the enums that
 * their fields carry. */
#ifndef VGM_IPC_MESSAGE_H
#define VGM_IPC_MESSAGE_H

#include "base/slice.h"

/* Processes by name: who asks and who answers. The three pools of filters are
 * three roles (rule 10). Order is part of the wire form. */
enum vgm_role_id {
	VGM_ROLE_MASTER = 1,
	VGM_ROLE_SMTPD,
	VGM_ROLE_ADMIT,
	VGM_ROLE_RENDER,
	VGM_ROLE_SHOW,
	VGM_ROLE_KEYD,
	VGM_ROLE_LEDGERD,
	VGM_ROLE_VIEWD,
	VGM_ROLE_RESOLVERD,
	VGM_ROLE_RELAYD,
	VGM_ROLE_CONTROL, /* the command line, over the control socket */
	VGM_ROLE_COUNT,
};

/* Which of its kind: smtpd's three doors, keyd's two stores. */
enum vgm_instance {
	VGM_INSTANCE_ONLY = 0,
	VGM_INSTANCE_RECEIVE = 1, /* smtpd: from the world */
	VGM_INSTANCE_SUBMIT = 2,  /* smtpd: from the main system and its people */
	VGM_INSTANCE_DEVICES = 3, /* smtpd: from copiers and lab machines */
	VGM_INSTANCE_TLS = 4,     /* keyd: TLS keys only (rule 11) */
	VGM_INSTANCE_WORKER = 5,  /* one filter worker's own line to keyd or ledgerd */
};

enum vgm_admit_flags {
	VGM_ADMIT_8BIT = 1,      /* BODY=8BITMIME, or 8-bit bytes seen */
	VGM_ADMIT_UTF8 = 2,      /* SMTPUTF8 (RFC 6531) */
	VGM_ADMIT_SEAL_ONLY = 4, /* third strike: parse nothing (rule 12) */
	VGM_ADMIT_REPAIRED = 8,  /* a device's bare CR or LF became CRLF */
	VGM_ADMIT_ESMTP = 16,    /* greeted with EHLO */
};

/* What a machine's message needed mending for (devices' door). */
enum vgm_machine_faults {
	VGM_FAULT_BARE_LF = 1,
	VGM_FAULT_BARE_CR = 2,
	VGM_FAULT_PATH = 4, /* an address without <> */
	VGM_FAULT_NAME = 8, /* greeted with a name that has spaces */
};

enum vgm_routing_flags {
	VGM_ROUTING_8BIT = 1,
	VGM_ROUTING_UTF8 = 2,
	VGM_ROUTING_HELD = 4, /* quarantine: nothing leaves until released */
	VGM_ROUTING_NOTICE = 8, /* a DSN of ours: never answered by another */
};

enum vgm_notify {
	VGM_NOTIFY_NEVER = 1,
	VGM_NOTIFY_SUCCESS = 2,
	VGM_NOTIFY_FAILURE = 4,
	VGM_NOTIFY_DELAY = 8,
};

enum vgm_tls_need {
	VGM_TLS_MAY = 0,      /* opportunistic (RFC 7435) */
	VGM_TLS_ENCRYPT = 1,  /* any TLS 1.2 or later, or wait */
	VGM_TLS_VERIFY = 2,   /* certificate must name the host */
};

enum vgm_outcome_status {
	VGM_OUTCOME_DELIVERED = 1, /* the next hop said 2xx */
	VGM_OUTCOME_DEFERRED = 2,  /* try again */
	VGM_OUTCOME_FAILED = 3,	   /* 5xx, or nothing will help */
	VGM_OUTCOME_EXPIRED = 4,   /* tried for its whole time; made by ledgerd */
	VGM_OUTCOME_REMOVED = 5,   /* by an administrator */
	VGM_OUTCOME_RELAYED =
	    6,		      /* 2xx from a hop without DSN: a "relayed" notice is due if asked */
	VGM_OUTCOME_LATE = 7, /* still trying; the sender is to be told; made by ledgerd */
};

enum vgm_record_type {
	VGM_RECORD_MAIL = 1,    /* a message as received */
	VGM_RECORD_OUTCOME = 2, /* of a delivery */
	VGM_RECORD_NOTICE = 3,  /* a message that we composed: DSN */
	VGM_RECORD_ACCESS = 4,  /* somebody opened a record */
	VGM_RECORD_ACTION = 5,  /* an administrator acted on queue or quarantine */
	VGM_RECORD_CONFIG = 6,  /* configuration taken into use */
	VGM_RECORD_KEY = 7,     /* a key was made or destroyed */
};

enum vgm_packing {
	VGM_PACKING_NONE = 0,
	VGM_PACKING_ZSTD = 1,
};

enum vgm_refusal {
	VGM_REFUSED_IO = 1,    /* the disk refused: 451 */
	VGM_REFUSED_SPACE = 2, /* 452 */
	VGM_REFUSED_LAG = 3,   /* views lag behind (rule 11): 451 */
	VGM_REFUSED_READONLY = 4, /* the ledger found corruption at start: 451 */
};

enum vgm_purpose {
	VGM_PURPOSE_DELIVER = 1,
	VGM_PURPOSE_NOTICE = 2,
	VGM_PURPOSE_SHOW = 3,
};

enum vgm_lent_kind {
	VGM_LENT_ROUTING = 1, /* ledgerd and viewd: routing parts of one day */
	VGM_LENT_VIEW = 2,    /* viewd: its pages at rest */
};

enum vgm_death {
	VGM_DEATH_CRASH = 1,
	VGM_DEATH_MEMORY = 2,
	VGM_DEATH_SYSCALL = 3,
	VGM_DEATH_CPU = 4,
	VGM_DEATH_WALL = 5, /* never a strike */
};

enum vgm_dsn_action {
	VGM_DSN_FAILED = 1,
	VGM_DSN_DELAYED = 2,
	VGM_DSN_RELAYED = 3,
	VGM_DSN_DELIVERED = 4,
};

enum vgm_peer_caps {
	VGM_PEER_8BIT = 1,
	VGM_PEER_UTF8 = 2,
	VGM_PEER_DSN = 4,
};

enum vgm_render_result {
	VGM_RENDER_NO_KEY = 0,   /* temporary */
	VGM_RENDER_OK = 1,
	VGM_RENDER_NEEDS_8BIT = 2, /* cannot be sent to a 7-bit hop unchanged */
	VGM_RENDER_CORRUPT = 3,  /* stored bytes do not verify: alarm, hold */
};

enum vgm_show {
	VGM_SHOW_RAW = 1,
	VGM_SHOW_HEAD = 2,
};

enum vgm_schedule_act {
	VGM_ACT_FLUSH = 1,
	VGM_ACT_HOLD = 2,
	VGM_ACT_RELEASE = 3,
	VGM_ACT_REMOVE = 4,
};

enum vgm_dns_status {
	VGM_DNS_OK = 0,       /* answers may still be none: NODATA */
	VGM_DNS_NXDOMAIN = 1,
	VGM_DNS_TEMPORARY = 2, /* SERVFAIL, time-out */
	VGM_DNS_BOGUS = 3,    /* DNSSEC says forged: treat as temporary */
};

/* ---- structs ---- */
#define GROUP(name) struct vgm_##name {
#define GROUP_END(name) };
#define MESSAGE(name, type, version) struct vgm_msg_##name {
#define MESSAGE_END(name) };
#define U8(field) uint8_t field;
#define U16(field) uint16_t field;
#define U32(field) uint32_t field;
#define U64(field) uint64_t field;
#define FIXED(field, bytes) uint8_t field[bytes];
#define SLICE(field, max) struct vgm_slice field;
#define LIST(field, group, max) struct vgm_##group *field; size_t field##_count;
#define FD(field) int field;
#include "ipc/messages.def"
#include "ipc/undef.def"

/* ---- types: VGM_MSG_admit = 20, ... ---- */
enum vgm_msg_type {
#define GROUP(name)
#define GROUP_END(name)
#define MESSAGE(name, type, version) VGM_MSG_##name = type,
#define MESSAGE_END(name)
#define U8(field)
#define U16(field)
#define U32(field)
#define U64(field)
#define FIXED(field, bytes)
#define SLICE(field, max)
#define LIST(field, group, max)
#define FD(field)
#include "ipc/messages.def"
#include "ipc/undef.def"
};

#endif
