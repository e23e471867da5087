import requests
import json
url = "https://api.neostra.io/api/v1/tenant/example_string/user/example_string"
headers = {
"Content-Type": "application/json",
"Authorization": "Bearer YOUR_API_TOKEN (JWT)"
}
data = {
"roleId": "example_string"
}
response = requests.patch(url, headers=headers, json=data)
print(response.json())
