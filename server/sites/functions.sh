# Sourced by server/install: this project's site, and the front that all sites of the server share (00-front.cfg).
# shellcheck shell=bash disable=SC2154

sites=/etc/haproxy/sites.d
site_service=haproxy.service
site_socket=haproxy.socket
case $form in
quadlet) site_drop_in=$quadlets/haproxy.container.d/sites.conf ;;
systemd) site_drop_in=$units/haproxy.service.d/sites.conf ;;
esac

site_names() { # print the keys of this project's map, one a line
    local names
    names=$(SITES=$site ACME_DOMAINS=$(effective_setting ACME_DOMAINS) server/daybook-certificate site-names 2>&1) ||
        refuse "${names#*: }" 2
    [[ -n $names ]] ||
        refuse "SITES is 'on' in the settings, and ACME_DOMAINS is empty: write this project's host names in either" 2
    sed 's/^[*]//' <<<"$names"
}

check_site() { # refuse what would take a name or a port from another project
    local other map key owner
    for map in "$sites"/*.map; do
        other=${map##*/} other=${other%.map}
        [[ $other != daybook ]] || continue
        [[ $site != off ]] ||
            refuse "SITES is 'off' in the settings, but the project $other shares this server's ports: write on, or this project's host names"
        # A wildcard and a name below it may belong to two projects.
        for key in "${site_keys[@]}"; do
            ! grep --quiet --extended-regexp "^${key//./[.]}[[:space:]]" "$map" ||
                refuse "the project $other has the name ${key/#./*.} on this server ($map): remove it from the settings of one of the two"
        done
    done
    # daemon-reload would close systemd's copies of the ports, and only a running HAProxy would still have them.
    if switches && ! $restart && ! $files_only && systemctl is-active --quiet "$site_socket"; then
        refuse "SITES has changed between 'off' and names, and the ports close for a moment: run it again with --restart"
    fi
    owner=$(systemctl list-sockets --no-legend --plain | sed -n 's/^0[.]0[.]0[.]0:80  *\([^ ]*\).*/\1/p')
    case $owner in
    '' | "$site_socket") ;;
    haproxy-sites.socket)
        [[ $site != off ]] || switches ||
            refuse "port 80 belongs to haproxy-sites.socket, which has no site any more: systemctl stop haproxy-sites.socket haproxy-sites.service"
        ;;
    *) refuse "port 80 belongs to $owner: set SITES in both projects, and run the installer of that one with --restart first" ;;
    esac
}

switches() { # whether this run puts the project behind the front, or takes it away
    if [[ $site == off ]]; then [[ -e $site_drop_in ]]; else [[ ! -e $site_drop_in ]]; fi
}

install_site() {
    local map
    if [[ $site == off ]]; then
        remove "$site_drop_in" "${site_service%.service}"
        remove "$units/haproxy.socket.d/sites.conf" "$site_socket"
        remove "$units/haproxy-https.socket.d/sites.conf" "$site_socket"
        remove "$sites/daybook.cfg" none
        remove "$sites/daybook.map" none
        return
    fi
    install_front
    put 644 "server/sites/$form/haproxy.conf" "$site_drop_in" "${site_service%.service}"
    put 644 server/sites/haproxy.socket.conf "$units/haproxy.socket.d/sites.conf" "$site_socket"
    put 644 server/sites/haproxy-https.socket.conf "$units/haproxy-https.socket.d/sites.conf" "$site_socket"
    put 644 server/sites/daybook.cfg "$sites/daybook.cfg" haproxy-sites.reload
    map=$(mktemp)
    printf '%s daybook\n' "${site_keys[@]}" >"$map"
    # The project's own HAProxy reads the names, too.
    cmp --silent "$map" "$sites/daybook.map" || has_changed "${site_service%.service}"
    put 644 "$map" "$sites/daybook.map" haproxy-sites.reload
    rm "$map"
}

front_version() { # front_version FILE: the number in its first line; 0 if there is no file
    local version=''
    [[ ! -e $1 ]] || version=$(sed -n '1s/^# Version \([0-9][0-9]*\)$/\1/p' "$1")
    echo "${version:-0}"
}

install_front() { # unless another project's installer brought the same version or a newer one
    local front_form=$form
    (($(front_version "$sites/00-front.cfg") < $(front_version server/sites/00-front.cfg))) || return 0
    # The project that came first may have the other form.
    if [[ -e $quadlets/haproxy-sites.container ]]; then front_form=quadlet; fi
    if [[ -e $units/haproxy-sites.service ]]; then front_form=systemd; fi
    put 644 server/sites/haproxy-sites.socket "$units/haproxy-sites.socket" haproxy-sites
    put 644 "server/sites/$front_form/tmpfiles.conf" /etc/tmpfiles.d/haproxy-sites.conf none
    case $front_form in
    quadlet)
        put 644 server/sites/quadlet/haproxy-sites.container "$quadlets/haproxy-sites.container" haproxy-sites
        put 644 haproxy/healthcheck "$sites/healthcheck" haproxy-sites
        ;;
    systemd) put 644 server/sites/systemd/haproxy-sites.service "$units/haproxy-sites.service" haproxy-sites ;;
    esac
    # Last: an interrupted run begins again.
    put 644 server/sites/00-front.cfg "$sites/00-front.cfg" haproxy-sites
}

remove_front() { # after the last site has gone
    local file
    systemctl stop haproxy-sites.socket haproxy-sites.service
    for file in "$units"/haproxy-sites.{socket,service} "$quadlets/haproxy-sites.container" /etc/tmpfiles.d/haproxy-sites.conf \
        "$sites"/{00-front.cfg,healthcheck}; do
        remove "$file" none
    done
    systemctl daemon-reload
}

switch_ports() { # let this project's HAProxy have the ports itself, or get its connections from the front
    changed_since "$site_socket" "$site_socket" InactiveExitTimestamp || return 0
    [[ $(systemctl show --property=ActiveState --value "$site_socket") != inactive ]] || return 0
    restarts=$((restarts + 1))
    if ! $restart || $files_only; then
        echo "restart needed: $site_socket"
        return
    fi
    change "restart $site_socket" || return 0
    [[ $site != off || ! -e $units/haproxy-sites.socket ]] || remove_front
    systemctl restart "$site_socket" && systemctl start "$site_service" ||
        refuse "$site_service did not start again: journalctl -u $site_service -u $site_socket -u haproxy-sites -n 20 --no-pager"
}

update_front() { # start it, or let it read what has changed
    local front=haproxy-sites.service
    # Until the switch, this project's HAProxy has the ports.
    if [[ $site == off ]] || changed_since "$site_socket" "$site_socket" InactiveExitTimestamp; then return 0; fi
    if ! systemctl is-active --quiet "$front"; then
        if ! $files_only && change "start $front"; then
            systemctl start "$front" || refuse "$front did not start: journalctl -u $front -n 20 --no-pager"
        fi
    elif changed_since haproxy-sites "$front" InactiveExitTimestamp; then
        restarts=$((restarts + 1))
        if ! $restart || $files_only; then
            echo "restart needed: $front"
        elif change "restart $front"; then
            systemctl restart "$front" || refuse "$front did not start again: journalctl -u $front -n 20 --no-pager"
        fi
    elif changed_since haproxy-sites.reload "$front" StateChangeTimestamp; then
        restarts=$((restarts + 1))
        # It fails no request.
        if $files_only; then
            echo "reload needed: $front"
        elif change "reload $front"; then
            systemctl reload "$front"
        fi
    fi
}
