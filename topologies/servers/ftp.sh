#!/bin/sh
# FTP on port 21, or on the one that is given: anonymous users fetch file.bin (1 MB), and send to the folder `in`.
set -e
mkdir -p files/in empty
chown ftp files/in
[ -e files/file.bin ] || head -c 1000000 /dev/urandom >files/file.bin
cat >vsftpd.conf <<END
listen=YES
background=NO
listen_port=${1:-21}
anonymous_enable=YES
no_anon_password=YES
local_enable=NO
anon_root=$PWD/files
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
connect_from_port_20=YES
secure_chroot_dir=$PWD/empty
seccomp_sandbox=NO
xferlog_enable=NO
$FTP_MORE
END
exec vsftpd vsftpd.conf
