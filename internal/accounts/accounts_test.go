package accounts

import "testing"

func FuzzAccounts(f *testing.F) {
	f.Add("user:group", []byte("user:x:1:2:gecos:/home:/bin/sh\n"), []byte("group:x:3:user,other\n"))
	f.Add("1", []byte("::::::\n:x:4294967295:0:::"), []byte(":::\n\x00"))
	f.Fuzz(func(t *testing.T, spec string, passwd, group []byte) {
		id, err := Resolve(spec, passwd, group)
		if err != nil {
			return
		}
		if id.UID == 1<<32-1 || id.GID == 1<<32-1 || id.Home == "" || len(id.Groups) > MaxGroups {
			t.Errorf("%q: %+v", spec, id)
		}
	})
}
