/* SPDX-License-Identifier: EUPL-1.2
 * Tests of directory/directory.h: files right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "directory/directory.h"

static const char good[] = "# people\n"
			   "\n"
			   "Marie.Durand@CHU.example alias=m.durand@chu.example route=cloud language=fr\r\n"
			   "  accueil@chu.example\tkind=shared alias=standard@chu.example alias=info@chu.example\n"
			   "j\xc3\xa9r\xc3\xb4me@chu.example language=en kind=person\n"
			   "urgences@h\xc3\xb4pital.example alias=smur@xn--hpital-ixa.example\n"
			   "moniteur-12@chu.example kind=machine";

static void test_find(void **state)
{
	(void)state;
	static const struct {
		const char *asked, *address, *route;
		enum vgm_person_kind kind;
		bool known;
	} cases[] = {
	    {"marie.durand@chu.example", "Marie.Durand@CHU.example", "cloud", VGM_PERSON, true},
	    {"M.DURAND@chu.EXAMPLE", "Marie.Durand@CHU.example", "cloud", VGM_PERSON, true},
	    {"info@chu.example", "accueil@chu.example", "", VGM_PERSON_SHARED, false},
	    {"standard@chu.example", "accueil@chu.example", "", VGM_PERSON_SHARED, false},
	    {"j\xc3\xa9r\xc3\xb4me@chu.example", "j\xc3\xa9r\xc3\xb4me@chu.example", "", VGM_PERSON, true},
	    {"moniteur-12@chu.example", "moniteur-12@chu.example", "", VGM_PERSON_MACHINE, false},
	    {"urgences@h\xc3\xb4pital.example", "urgences@h\xc3\xb4pital.example", "", VGM_PERSON, false},
	    {"Urgences@H\xc3\x94PITAL.example", "urgences@h\xc3\xb4pital.example", "", VGM_PERSON, false},
	    {"urgences@XN--hpital-ixa.example", "urgences@h\xc3\xb4pital.example", "", VGM_PERSON, false},
	    {"smur@h\xc3\xb4pital.example", "urgences@h\xc3\xb4pital.example", "", VGM_PERSON, false},
	    {"urgences@h\xc3\xb4pitale.example", NULL, NULL, VGM_PERSON, false},
	    {"nobody@chu.example", NULL, NULL, VGM_PERSON, false},
	    {"marie.durand@chu.example2", NULL, NULL, VGM_PERSON, false},
	    {"", NULL, NULL, VGM_PERSON, false},
	};
	struct vgm_directory *d = NULL;
	assert_int_equal(vgm_directory_parse(vgm_slice_str(good), &d, NULL, NULL), 0);
	assert_int_equal(vgm_directory_count(d), 5);
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		const struct vgm_person *p = vgm_directory_find(d, vgm_slice_str(cases[i].asked));
		assert_int_equal(p != NULL, cases[i].address != NULL);
		if (!p)
			continue;
		assert_string_equal(p->address, cases[i].address);
		assert_string_equal(p->route, cases[i].route);
		assert_int_equal(p->kind, cases[i].kind);
		assert_int_equal(p->language_known, cases[i].known);
	}
	vgm_directory_free(&d);
	assert_null(d);
	assert_null(vgm_directory_find(NULL, VGM_SLICE_LIT("a@b")));
}

static void test_mistakes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t line;
	} cases[] = {
	    {"nobody", 1},
	    {"a@b.example\n@b.example", 2},
	    {"a@", 1},
	    {"a@b.example route", 1},
	    {"a@b.example route=", 1},
	    {"a@b.example colour=red", 1},
	    {"a@b.example kind=robot", 1},
	    {"a@b.example language=de", 1},
	    {"a@b.example\n\n# x\nA@B.example", 4},
	    {"a@b.example alias=a@b.example", 1},
	    {"a@b.example alias=c", 1},
	    {"a@b.example\nc@d.example alias=A@b.example", 2},
	    {"a@\xc3\xa9.example\na@xn--9ca.example", 2},
	    {"\xff@b.example", 1},
	};
	for (size_t i = 0; i < VGM_ARRAY_LEN(cases); i++) {
		struct vgm_directory *d = NULL;
		struct vgm_err err;
		size_t line = 0;
		assert_int_equal(
		    vgm_directory_parse(vgm_slice_str(cases[i].text), &d, &line, &err), VGM_E_INVALID);
		assert_int_equal(line, cases[i].line);
		assert_null(d);
		assert_non_null(strstr(err.text, "line"));
	}
}

static void test_long_line_and_many(void **state)
{
	(void)state;
	VGM_CLEANUP(vgm_buf_release) struct vgm_buf text = VGM_BUF_INIT(8 << 20);
	struct vgm_directory *d = NULL;
	for (int i = 0; i < 20000; i++)
		assert_int_equal(vgm_buf_addf(&text, "p%d@chu.example\n", i), 0);
	assert_int_equal(vgm_directory_parse(vgm_buf_slice(&text), &d, NULL, NULL), 0);
	assert_int_equal(vgm_directory_count(d), 20000);
	for (int i = 0; i < 20000; i += 7) {
		char address[40];
		snprintf(address, sizeof address, "P%d@chu.example", i);
		assert_non_null(vgm_directory_find(d, vgm_slice_str(address)));
	}
	vgm_directory_free(&d);
	vgm_buf_clear(&text);
	assert_int_equal(vgm_buf_addf(&text, "a@b.example route=%04000d", 1), 0);
	assert_int_equal(vgm_directory_parse(vgm_buf_slice(&text), &d, NULL, NULL), VGM_E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_mistakes),
	    cmocka_unit_test(test_long_line_and_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
