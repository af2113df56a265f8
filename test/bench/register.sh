# test/bench/register.sh: what it costs to register, and how many can

bench_register()
{
	local round times=() live

	fresh_shop
	for round in $(seq "$rounds")
	do
		times+=("$("$scratch/client" latency 1000 \
			"SELECT schemaver.register('1', 'shop')" \
			"SELECT schemaver.unregister()")")
	done
	report "register() or unregister(), warm connection" \
		"$(median "${times[@]}")" '< 1' ms

	sql -c 'ALTER SYSTEM SET max_connections = 5100'
	restart_server server
	hold 5000 shop/1
	live=$(sql -c "SELECT count(*) FROM schemaver.instances")
	report "sessions registered at the same time" "$live" '== 5000'
	release
	sql -c 'ALTER SYSTEM RESET max_connections'
	restart_server server
}
