curl --request PATCH \
  --url https://z52mnqg347.execute-api.eu-west-3.amazonaws.com/main/users-organizations/v1/rs/users/{userId} \
  --header 'Authorization: Bearer <token>' \
  --header 'content-type: <content-type>' \
  --header 'x-session-token: <x-session-token>' \
  --data '
{
  "firstName": "John",
  "lastName": "Doe",
  "professionId": 1,
  "scope": 1
}
'
