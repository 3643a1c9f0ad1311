#!/bin/sh
# FTP on port 21, all of it under TLS. The argument is the address to announce.
set -e
[ -e server.pem ] || {
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ftps.office.example \
    -keyout key.pem -out cert.pem 2>/dev/null
  cat key.pem cert.pem >server.pem
}
FTP_MORE="pasv_address=$1
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=NO
rsa_cert_file=$PWD/server.pem"
export FTP_MORE
exec "$(dirname "$0")/ftp.sh"
