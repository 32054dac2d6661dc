/** In a guest: reads every file of its disk again, and prints one digest. */
export const ALL_FILES = 'echo 3 > /proc/sys/vm/drop_caches; find /bin /sbin /usr /lib /lib64 -xdev -type f | sort | xargs md5sum | md5sum'
