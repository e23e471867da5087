curl --request PUT \
 --url https://example.com/v1/users/2489E9AD-2EE2-8E00-8EC9-32D5F69181C0 \
 --header 'Authorization: Bearer <token>' \
 --header 'Content-Type: application/json' \
 --header 'X-Tenant-ID: 2489E9AD-2EE2-8E00-8EC9-32D5F69181C0' \
 --data '{
 "name": "example",
 "roles": [
 "user"
 ]
 }'
