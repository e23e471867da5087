curl -X PATCH "https://api.neostra.io/api/v1/tenant/example_string/user/example_string" \
-H "Content-Type: application/json" \
-H "Authorization: Bearer YOUR_API_TOKEN (JWT)" \
-d '{
"roleId": "example_string"
}'
