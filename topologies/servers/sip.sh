#!/bin/sh
# A SIP registrar and proxy on UDP port 5060: sip.sh ADDRESS PUBLIC NAME. Whoever asks
# is registered; calls go where their callee is registered.
set -e
cat >kamailio.cfg <<END
debug=1
log_stderror=yes
# One worker: of two, the second may send its message before the first does.
children=1
auto_aliases=no
listen=udp:$1:5060
alias="$2"
alias="$3"
loadmodule "kex.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
request_route {
    if (!mf_process_maxfwd_header("70")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (has_totag()) {
        if (loose_route() || !(uri == myself)) { t_relay(); exit; }
        if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
        sl_send_reply("404", "Not Here");
        exit;
    }
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    t_check_trans();
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("INVITE|SUBSCRIBE|REFER")) { record_route(); }
    if (uri == myself && !lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    t_relay();
}
END
exec kamailio -DD -E -f kamailio.cfg -Y "$PWD" -P "$PWD/pid" -w "$PWD"
