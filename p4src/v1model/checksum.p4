// IPv4 header checksums, verified on the way in and written on the way out; and those of
// ICMP errors, verified.
// Transport checksums are updated incrementally (rewrite.p4), so that damage
// on the way in stays visible at the receiver and fragments come out right.

#define IPV4_FIELDS(ip, opt) { ip.version, ip.ihl, ip.tos, ip.total_len, \
    ip.identification, ip.reserved, ip.dont_fragment, ip.more_fragments, \
    ip.frag_offset, ip.ttl, ip.protocol, ip.src_addr, ip.dst_addr, opt.options }

control ChecksumVerify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid(), IPV4_FIELDS(hdr.ipv4, hdr.ipv4_options),
                        hdr.ipv4.hdr_checksum, HashAlgorithm.csum16);
        // An ICMP error may do harm to a connection: it has to be intact (RFC 5508 REQ-3).
        verify_checksum_with_payload(
            hdr.inner_ipv4.isValid() && hdr.ipv4.more_fragments == 0,
            { hdr.icmp.type, hdr.icmp.code, hdr.icmp.id, hdr.icmp.seq,
              hdr.inner_ipv4, hdr.inner_options.options, hdr.inner_l4 },
            hdr.icmp.checksum, HashAlgorithm.csum16);
    }
}

control ChecksumUpdate(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid() && !hdr.packet_in.isValid(),
                        IPV4_FIELDS(hdr.ipv4, hdr.ipv4_options),
                        hdr.ipv4.hdr_checksum, HashAlgorithm.csum16);
    }
}
