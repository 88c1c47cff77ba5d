# Sourced by bash or zsh: `source env.sh` gives a shell in which python, seld-overlap and the nodes work, be the package
# installed here (`make setup`) or in the ROS 2 workspace that this checkout lies in (`colcon build`).

_seld_prepend() {  # variable, folder; a folder that is there already stays where it is
    eval "_seld_old=\"\${$1:-}\""
    case ":$_seld_old:" in
        *":$2:"*) ;;
        *) export "$1=$2${_seld_old:+:$_seld_old}" ;;
    esac
}

_seld_workspace() {  # prints the folder, of those this one lies in, whose install/ holds the package
    _seld_at="$1"
    while [ "$_seld_at" != / ]; do
        if [ -d "$_seld_at/install/seld_overlap/share/seld_overlap" ] || [ -d "$_seld_at/install/share/seld_overlap" ]; then
            echo "$_seld_at"
            return
        fi
        _seld_at="$(dirname "$_seld_at")"
    done
    return 1
}

_seld_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")" > /dev/null && pwd)"
if [ -f "$_seld_root/install/seld_overlap.stamp" ]; then
    export VIRTUAL_ENV="$_seld_root/.venv"
    for _seld_prefix in "$_seld_root/.venv" "$_seld_root/install"; do
        _seld_prepend PATH "$_seld_prefix/bin"
        if [ -d "$_seld_prefix/share/ament_index" ]; then
            _seld_prepend AMENT_PREFIX_PATH "$_seld_prefix"
            _seld_prepend LD_LIBRARY_PATH "$_seld_prefix/lib"
        fi
    done
    if [ ! -d "$_seld_root/.venv/share/ament_index" ]; then  # a ROS 2 that was sourced: its commands run on its own Python
        _seld_found="$(find "$_seld_root/install/lib" -maxdepth 2 -name site-packages 2> /dev/null | head -n 1)"
        [ -z "$_seld_found" ] || _seld_prepend PYTHONPATH "$_seld_found"
    fi
elif _seld_found="$(_seld_workspace "$_seld_root")"; then
    . "$_seld_found/install/setup.${ZSH_VERSION:+z}${BASH_VERSION:+ba}sh"
    command -v python > /dev/null || python() { python3 "$@"; }
else
    echo "env.sh: nothing is installed yet; run \`make setup\` here, or \`colcon build\` in your ROS 2 workspace" >&2
    false
fi
