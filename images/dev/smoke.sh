set -eu
[ "$(id -un)" = sandbox ] && [ "$(id -u)" = 1000 ] && [ "$HOME" = /home/sandbox ] && [ "$PWD" = /home/sandbox ]
cd "$(mktemp -d)"

git init --quiet r
cd r
cat >hello.c <<'C'
#include <stdio.h>
int main(void) { puts("hello"); }
C
cat >hello.cpp <<'C'
#include <iostream>
int main() { std::cout << "hello\n"; }
C
printf 'all: c cpp\nc: hello.c\n\tcc -g -o c hello.c\ncpp: hello.cpp\n\tc++ -o cpp hello.cpp\n' >Makefile
make --quiet
[ "$(./c)" = hello ] && [ "$(./cpp)" = hello ]
gdb --batch -ex 'info functions main' c | grep -q 'int main'
git -c user.name=t -c user.email=t@example.com add . && git -c user.name=t -c user.email=t@example.com commit --quiet -m first
[ "$(git log --format=%s)" = first ]
[ "$(ipython3 --no-banner --colors=NoColor -c 'print(6 * 7)')" = 42 ]
vim --version | grep -q 'VIM - Vi IMproved'
[ "$(echo '{"a":7}' | jq .a)" = 7 ]
curl --silent "file://$PWD/Makefile" | grep -q all
pip --version >/dev/null
echo ok dev
